"""What pages are made of: sections and tables, and the HTML of them."""
