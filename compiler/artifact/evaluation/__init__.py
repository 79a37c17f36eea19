"""Quality of artifacts on evaluation data, a module for each task; runs in a child process.

Reads: the folders of a reference and of candidates, evaluation data.
Gives: figures with their intervals, golden answers, what is wrong with evaluation data.
Never: judges a figure, keeps one, or changes a model.
"""
