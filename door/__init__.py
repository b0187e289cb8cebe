"""The door: who may come in, and which workspace wakes. It stands alone: nothing of `fleet`."""
