-- What is asked of a takedown beside its state is a column: no statement reads inside `data`, whose form is the program's alone.
ALTER TABLE {schema}.takedowns
    ADD COLUMN match_basis    text,
    ADD COLUMN last_outcome   text,
    ADD COLUMN held_for       text,
    ADD COLUMN holds_released text[],
    ADD COLUMN removed_for    text,
    ADD COLUMN removed_at     timestamptz,
    ADD COLUMN wants_demand   boolean;

UPDATE {schema}.takedowns SET
    match_basis    = data #>> '{match,basis}',
    last_outcome   = data ->> 'last_outcome',
    held_for       = data ->> 'held_for',
    holds_released = ARRAY(SELECT jsonb_array_elements_text(coalesce(data -> 'cleared', '[]'))),
    removed_for    = data ->> 'removed_for',
    removed_at     = (data ->> 'removed_at')::timestamptz,
    wants_demand   = coalesce((data ->> 'wants_demand')::boolean, false);

ALTER TABLE {schema}.takedowns
    ALTER COLUMN match_basis SET NOT NULL,
    ALTER COLUMN holds_released SET NOT NULL,
    ALTER COLUMN wants_demand SET NOT NULL;
