<?php
// The router of sabre.sh: one SQLite file of principals and calendars behind sabre/dav's own plugins.
error_reporting(E_ERROR);
require_once 'Sabre/autoload.php';

$file = getenv('LUNATION_SABRE_STATE') . '/dav.sqlite';
$people = ['alice', 'bob'];

if (strncmp($_SERVER['REQUEST_URI'], '/.well-known/caldav', 19) === 0) {
    header('Location: /', true, 301);
    return true;
}

/** Makes the tables and one calendar for each person; runs once, guarded by the marker that it writes last. */
function found(PDO $db, array $people): void
{
    $ready = $db->query("SELECT count(*) FROM sqlite_master WHERE name = 'lunation_ready'")->fetchColumn();
    if ($ready) {
        return;
    }
    foreach (['users', 'principals', 'calendars', 'locks'] as $part) {
        $db->exec(file_get_contents("/usr/share/doc/php-sabre-dav/examples/sql/sqlite.$part.sql"));
    }
    $db->exec('DELETE FROM users');
    $db->exec('DELETE FROM principals');
    $principal = $db->prepare('INSERT INTO principals (uri, email, displayname) VALUES (?, ?, ?)');
    $calendar = $db->prepare('INSERT INTO calendars (principaluri, displayname, uri, description, components, ctag, transparent)'
        . " VALUES (?, 'Default', 'default', '', 'VEVENT,VTODO', 1, 0)");
    foreach ($people as $name) {
        $principal->execute(["principals/$name", "$name@example.org", ucfirst($name)]);
        $principal->execute(["principals/$name/calendar-proxy-read", null, null]);
        $principal->execute(["principals/$name/calendar-proxy-write", null, null]);
        $calendar->execute(["principals/$name"]);
    }
    $db->exec('CREATE TABLE lunation_ready (yes)');
}

class SecretForAll extends Sabre\DAV\Auth\Backend\AbstractBasic
{
    protected function validateUserPass($name, $password)
    {
        return in_array($name, $GLOBALS['people'], true) && $password === 'secret';
    }
}

$db = new PDO("sqlite:$file");
$db->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION);
found($db, $people);

$principals = new Sabre\DAVACL\PrincipalBackend\PDO($db);
$server = new Sabre\DAV\Server([
    new Sabre\CalDAV\Principal\Collection($principals),
    new Sabre\CalDAV\CalendarRootNode($principals, new Sabre\CalDAV\Backend\PDO($db)),
]);
$server->setBaseUri('/');
$server->addPlugin(new Sabre\DAV\Auth\Plugin(new SecretForAll(), 'SabreDAV'));
$server->addPlugin(new Sabre\DAVACL\Plugin());
$server->addPlugin(new Sabre\CalDAV\Plugin());
$server->exec();
return true;
