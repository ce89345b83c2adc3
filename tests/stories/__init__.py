"""Whole journeys of customers, told by the clock."""
