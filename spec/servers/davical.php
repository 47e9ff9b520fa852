<?php
// The router of davical.sh: does what Apache's rewrite rules do for DAViCal, and points it at the configuration of this run.
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if (preg_match('#^/\.well-known/caldav#', $path)) {
    header('Location: /caldav.php/', true, 301);
    return true;
}
if (!preg_match('#^/caldav\.php(/.*)?$#', $path, $found)) {
    http_response_code(404);
    return true;
}
// DAViCal reads /etc/davical/SERVER_NAME-conf.php before any other file; the configuration itself puts the name right again.
$_SERVER['SERVER_NAME'] = '../..' . realpath(getenv('LUNATION_DAVICAL_STATE')) . '/davical';
$_SERVER['SCRIPT_NAME'] = '/caldav.php';
$_SERVER['PATH_INFO'] = rawurldecode($found[1] ?? '/');
$_SERVER['PHP_SELF'] = '/caldav.php' . $_SERVER['PATH_INFO'];
chdir('/usr/share/davical/htdocs');
require '/usr/share/davical/htdocs/caldav.php';
return true;
