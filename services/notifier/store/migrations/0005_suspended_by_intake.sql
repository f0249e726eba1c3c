-- Whether the suspension here is intake's own decision, which its resumption ends; a host's word, which intake may not know yet, it does not.
ALTER TABLE {schema}.content ADD COLUMN suspended_by_intake boolean NOT NULL DEFAULT false;
