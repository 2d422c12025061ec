"""Evaluation: experiments on a model and a dataset, their tables and their report."""
