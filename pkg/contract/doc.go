// Package contract spells Natter's subject contract: subjects and their tokens, headers, the JSON shapes
// of requests and replies, and the names of streams and buckets. It is the only place that does; gateways,
// services and the SDK import it, services in other languages read docs/contract.md.
//
// It does not know how to talk to NATS: it holds no connection and makes no request.
package contract

// Version is the version of the subject contract. Services announce it in the metadata of their NATS
// micro service under [MetadataVersion]. It follows semantic versioning: a subject, header or JSON field
// that changes its meaning raises the major version.
const Version = "1.0.0"

// MetadataVersion is the key under which services announce [Version] in their micro metadata.
const MetadataVersion = "natter.contract"

// DefaultPrefix is the first token of every subject unless a deployment chooses another, so that several
// deployments can share one NATS account.
const DefaultPrefix = "natter"
