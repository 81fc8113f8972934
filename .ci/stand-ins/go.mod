module stand-ins

go 1.24

require github.com/oauth2-proxy/oauth2-proxy/v7 v7.8.1
