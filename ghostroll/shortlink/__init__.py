"""Short links: where a panel is too small for a presigned link, its code is the appliance's own address and a code.

`records` is what is known of each, `offer` publishes them, `server` answers guests. The server is a program of its own,
started on demand on machines with little memory: it imports `records`, `rate_limit` and nothing else of ours.
"""
