"""A seeded indoor world with exact truth: houses of any size, a walk through them, questions about what was seen.

    names, palette, texture/, look   words, colours, patterns and materials; what a split may use
    solids, mesh, furniture/         shapes
    house, kinds                     the plan: rooms and doorways; what a kind of room holds
    route, layout, furnish           where one walks, what stands where
    shell, bake, scene               a room's surfaces, its shadows, its arrays
    walk, camera                     poses, and which rooms they see
    raster, fragments, shade         triangles to samples to fragments to pixels
    renderer                         pictures with object ids, depth and visible pixels
    needle, paste                    odd objects for single frames, standing in the room or pasted over
    controls, script, crowd, light   what is changed on purpose: transitions, revisits, numbers, decoys
    stream                           a recipe's poses, pictures and truth
    truth, questions, mixture, captions, bench      bench: VSI-Bench's question types
    film, batch, tables, clips, export              videos with their truth, many of them, VSI-SUPER's and VSI-590K's
                                     tables, clips of them
    sheet                            contact sheets

    stream = compose(Recipe("tour", "train", seed=7, minutes=2, size=128))
    shots = list(pictures(stream))                               # shots[0].image: (H, W, 3) uint8
    truth = truth_of(stream, [shot.visible for shot in shots])
    mixture(truth, t_s=60.0, rng=rng)                            # list of Question

Rendering needs no torch, no GPU and no file: the same recipe gives the same pixels on every x86-64 machine.
"""
