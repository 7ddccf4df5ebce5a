"""The networks in Python, each as its authors publish it."""
