"""What people are shown of an App: its history and previews, as data and as text. Every surface prints these and nothing of its own."""
