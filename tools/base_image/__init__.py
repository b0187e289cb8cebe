"""The stand-in for the public base image, for machines that reach no container registry.

Owns: which base reference a build should use on this machine, and making the stand-in with
debootstrap and npm packages when the public one cannot be pulled. Leaves out: the runtime image
itself, whose Dockerfile is the same whichever base it gets, and the Docker daemon.
"""
