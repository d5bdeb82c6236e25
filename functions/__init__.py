"""What kaos does: each package is one function, deployable alone; none imports another."""
