"""Protocol: what a client and a server say to each other, over REST and gRPC."""
