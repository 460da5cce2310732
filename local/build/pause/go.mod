module dynamiq.local/pause

go 1.26.0
