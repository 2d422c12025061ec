"""Protocol: the messages of clients and servers, over REST and gRPC."""
