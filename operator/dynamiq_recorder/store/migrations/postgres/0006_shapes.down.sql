DROP TABLE run_shapes;
