DROP TABLE accepted;
