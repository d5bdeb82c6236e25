"""Turns an image, data and hyperparameters into a training job."""

from functions.train.handler import on_commit, on_job

FUNCTIONS = (on_commit, on_job)
