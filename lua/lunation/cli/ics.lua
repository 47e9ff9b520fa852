return { summary = "", run = function() end }
