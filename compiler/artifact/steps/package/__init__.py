"""Steps that bring a model into the folder of files that some runtime loads."""
