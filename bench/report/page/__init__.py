"""The page that holds a report: sections of prose, tables and figures in one HTML file."""
