"""Quality of artifacts on evaluation data, a module for each task; runs in a child process."""
