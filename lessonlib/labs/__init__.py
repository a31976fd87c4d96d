"""One module a topic: the mechanisms of the lessons, written out on real tensors."""
