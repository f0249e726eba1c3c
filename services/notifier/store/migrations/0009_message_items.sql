-- The demands a message is about: one today. A message of several is one row here for each.
CREATE TABLE {schema}.message_items (
    message_id uuid NOT NULL REFERENCES {schema}.messages,
    demand_id  uuid NOT NULL REFERENCES {schema}.demands,
    PRIMARY KEY (message_id, demand_id)
);
CREATE INDEX message_items_demand ON {schema}.message_items (demand_id);
INSERT INTO {schema}.message_items (message_id, demand_id)
SELECT message_id, demand_id FROM {schema}.messages JOIN {schema}.demands USING (demand_id);
