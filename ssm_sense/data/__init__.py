"""Where frames, questions and event boundaries come from: every dataset yields `clip.Clip`.

clip                             what they yield
video, track, decode, picture    files; decord_file: the same by decord
live                             streams, cameras and pipes, which never end
datasets                         the one door to all benchmarks
vsi_super, vsi_bench, vsi_590k   benchmarks and their training set; rows, archive, hub: how they are read
check                            what of them is there, missing or damaged
features, latents                vision latents on disk; what gives them or frames, whichever is there
world/                           the rendered world
"""
