"""What people read of a campaign: tables, figures, pages, comparisons."""
