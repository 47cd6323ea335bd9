-- In the order in which they are listed: why something did not run.
CREATE INDEX fires_passed ON fires (scheduled_for DESC, drill) WHERE outcome <> 'started';
