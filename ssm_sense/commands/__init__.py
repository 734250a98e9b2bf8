"""One module per subcommand of `ssm-sense`, each with `main(argv: list[str]) -> int`.

Commands may import anything of ours; nothing of ours imports a command.
"""
