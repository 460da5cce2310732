module dynamiq.local/forward

go 1.26.0
