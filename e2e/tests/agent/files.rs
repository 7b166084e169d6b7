//! Files of others, and files of hcp-idms-operator.
