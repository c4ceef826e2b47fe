package connectpsp

// UserMessages are the sentences of UserMessage by code.
var UserMessages = userMessages
