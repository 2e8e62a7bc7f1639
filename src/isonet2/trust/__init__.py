"""What is asked of restored tomograms: measures of what a network kept, made up, or cannot know."""
