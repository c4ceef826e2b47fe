module github.com/connectpsp/connectpsp-go/bench

go 1.26.0

replace github.com/connectpsp/connectpsp-go => ../

require (
	github.com/connectpsp/connectpsp-go v0.0.0
	github.com/google/uuid v1.6.0
	github.com/mercadopago/sdk-go v1.8.0
	github.com/shopspring/decimal v1.6.0
	github.com/stretchr/testify v1.12.1
)

require (
	github.com/apapsch/go-jsonmerge/v2 v2.0.0 // indirect
	github.com/oapi-codegen/runtime v1.8.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
)
