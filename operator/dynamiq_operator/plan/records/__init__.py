"""What is written to the rows of an App: numbers and pins, outcomes, rows that `App.spec.deploy` asks for, and what retention deletes."""
