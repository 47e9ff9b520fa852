--- Which mapping a calendar's mirror was made with: another one reads the originals anew.

return {
  "ALTER TABLE calendars ADD COLUMN mapping TEXT",
}
