"""The program of a build job: follows a bundle's Dockerfile and leaves an image, without a container engine."""
