"""The sections of a recipe, one file for each subject."""
