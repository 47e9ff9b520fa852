-- The people of davical.sh: alice and bob, each with a calendar. A leading "**" marks a password as plain text.
-- Everyone may read everyone's free times and deliver invitations and replies (the four privilege bits of scheduling).
CREATE TEMPORARY TABLE person (name text);
INSERT INTO person VALUES ('alice'), ('bob');

INSERT INTO usr (user_no, active, email_ok, username, password, fullname, email)
  SELECT nextval('usr_user_no_seq'), true, current_date, name, '**secret', initcap(name), name || '@example.org' FROM person;

INSERT INTO principal (type_id, user_no, displayname, default_privileges)
  SELECT 1, user_no, fullname, B'000000000001111000000000' FROM usr JOIN person ON username = name;

INSERT INTO collection (user_no, parent_container, dav_name, dav_etag, dav_displayname, is_calendar, is_addressbook, created, modified, resourcetypes)
  SELECT user_no, '/' || name || '/', '/' || name || '/calendar/', md5(name), 'Calendar', true, false, current_timestamp, current_timestamp,
         '<DAV::collection/><urn:ietf:params:xml:ns:caldav:calendar/>'
  FROM usr JOIN person ON username = name;
