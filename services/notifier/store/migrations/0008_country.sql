-- Where an organisation is established (ISO 3166-1 alpha-2); NULL: not known. A demand keeps what was known when it was made.
ALTER TABLE {schema}.hosts ADD COLUMN country text;
ALTER TABLE {schema}.demands ADD COLUMN country text;
