"""What is measured: invented traffic, and the product beside bare loops."""
