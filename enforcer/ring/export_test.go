package ring

// NewTableWithin is NewTable with a bound of the caller's on what each owns.
var NewTableWithin = newTable
