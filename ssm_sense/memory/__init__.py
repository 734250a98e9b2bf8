"""Memory policies behind one interface, ours and the rivals', a file each; docs/rivals.md has them in a table.

policy           what every memory of a stream offers
answering        AnsweringModel: what trains, and makes the policy that streams it
catalogue        rivals by name

recurrent        ours; `per_event` reads its counts event by event, `registered` holds questions that stand
kept_frames      frames, which ours watches when it is asked
blind            nothing
nosense          single frames against texts, by the `similarity` of SigLIP
sliding_window   the last frames' keys and values; `lfp_window` also predicts frames
attention_sinks, last_frames, uniform_frames, ma_lmm, movie_chat, full_kv, rekv
cambrian_s       memory ordered by surprise, over budget brought down by `consolidation`
segment_sum      counts segment by segment, by the `cuts`; `cambrian_count` by surprise
pooled_bank      an int8 vector a frame, with a trained reader
storm            both ways over the whole clip: the offline ceiling

kv_cache         keys before rotation, cut and placed at will; `retrieval` chooses among them by question
growing_layer    a cache's layer with room for what comes
frame_list       frames as tokens, read once for all that is asked until the next comes
level            surprise for policies that do not predict for themselves
"""
