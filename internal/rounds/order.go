package rounds

import "fairlead/internal/model"

// Order is what is to be sent because of one connection.
type Order struct {
	Connection  model.Connection
	RST, Tickle bool
}
