"""What rows show: statistics, claims of the paper, learning curves against a reference."""
