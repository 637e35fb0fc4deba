"""The paper's tables, figures and claims, computed from records."""
