/**
 * The shapes that the gateway sends. Only types: the module has no code.
 *
 * @typedef {object} Stamp who said something, and when: added by the gateway, so it cannot be forged
 * @property {string} [id] "<stream creation>-<sequence>"; none for what is not stored
 * @property {string} [socket] the sender's socket id; none if a service said it
 * @property {string} [user] the sender's account, if signed in
 * @property {string} [name] the account's name, or the one that a guest chose
 * @property {string} time RFC 3339
 *
 * @typedef {object} HistoryMessage
 * @property {unknown[]} event ["room message", room, text]; the name alone if redacted, deleted or omitted
 * @property {Stamp} stamp
 * @property {boolean} [redacted]
 * @property {boolean} [omitted] too large for a page
 * @property {string} [edited] when last, RFC 3339
 * @property {string} [deleted] when
 *
 * @typedef {object} Changed a message that was edited or deleted
 * @property {string} id
 * @property {string | null} room
 * @property {string} time RFC 3339
 * @property {unknown[]} [event] what it is now
 *
 * @typedef {object} HistoryPage
 * @property {HistoryMessage[]} messages oldest first
 * @property {boolean} more whether there are older ones
 * @property {boolean} [newer] whether there are newer ones, if it was read on to: maybe not to be had yet, then it is empty
 *
 * @typedef {object} Member someone in a room
 * @property {string} id socket id
 * @property {string} [name]
 * @property {string} [user]
 *
 * @typedef {object} Session what POST /auth/login gave
 * @property {string} token
 * @property {string} user
 * @property {string} name
 * @property {string[]} roles
 * @property {string} expires RFC 3339
 *
 * @typedef {object} User
 * @property {string} id
 * @property {string} name
 * @property {string[]} [roles]
 * @property {string} created RFC 3339
 *
 * @typedef {object} SocketList
 * @property {Connected[]} sockets
 * @property {boolean} [complete] false if a gateway did not answer in time, or there are too many to list
 *
 * @typedef {object} Connected one connected socket, as administrators see it
 * @property {string} namespace
 * @property {string} id
 * @property {string} [user]
 * @property {string} [name]
 * @property {string[]} [rooms]
 * @property {string} [address]
 * @property {string} connected RFC 3339
 */
export {};
