"""Results as tables: aggregated over seeds, as numbers for machines and as text for people."""
