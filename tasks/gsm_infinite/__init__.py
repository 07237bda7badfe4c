"""GSM-Infinite: procedural grade-school problems, as graphs, as English text and as compact tokens."""
