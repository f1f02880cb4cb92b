package codec

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// jws signs payload under the given protected header and puts the result into
// form, which has places for payload, protected and signature.
func (s *testSigner) jws(t testing.TB, form, header string) string {
	t.Helper()
	payload := base64.RawURLEncoding.EncodeToString([]byte(`{"ietf-voucher:voucher":{"serial-number":"A1"}}`))
	protected := base64.RawURLEncoding.EncodeToString([]byte(header))
	signature := base64.RawURLEncoding.EncodeToString(s.sign(t, []byte(protected+"."+payload)))
	return strings.NewReplacer("PAYLOAD", payload, "PROTECTED", protected, "SIGNATURE", signature).Replace(form)
}

const jwsGeneral = `{"payload":"PAYLOAD","signatures":[{"protected":"PROTECTED","signature":"SIGNATURE"}]}`

func TestJWSForms(t *testing.T) {
	s := newTestSigner(t, "ES256")
	x5c := base64.StdEncoding.EncodeToString(s.chain[0])
	ca := base64.StdEncoding.EncodeToString(s.chain[1])
	header := `{"alg":"ES256","typ":"voucher-jws+json","x5c":["` + x5c + `","` + ca + `"]}`
	for name, c := range map[string]struct {
		form, header string
		odd          OddityCode
	}{
		"as it should be":   {jwsGeneral, header, ""},
		"members reordered": {`{"signatures":[{"signature":"SIGNATURE","protected":"PROTECTED"}],"payload":"PAYLOAD"}`, header, ""},
		"white space":       {" {\n\t\"payload\" : \"PAYLOAD\" , \"signatures\" : [ { \"protected\" : \"PROTECTED\" , \"signature\" : \"SIGNATURE\" } ] }\r\n", header, ""},
		"escaped names":     {strings.Replace(jwsGeneral, "payload", `p\u0061yload`, 1), header, ""},
		"escaped slashes":   {jwsGeneral, strings.ReplaceAll(strings.ReplaceAll(header, "/", `\/`), "+", `\u002b`), ""},
		"long typ":          {jwsGeneral, strings.Replace(header, "voucher-jws", "Application/VOUCHER-jws", 1), ""},
		"no typ":            {jwsGeneral, strings.Replace(header, `"typ":"voucher-jws+json",`, "", 1), OddNoType},
		"no chain":          {jwsGeneral, `{"alg":"ES256","typ":"voucher-jws+json","x5c":["` + x5c + `"]}`, OddNoChain},
		"no x5c":            {jwsGeneral, `{"alg":"ES256","typ":"voucher-jws+json","kid":"k\"1"}`, OddNoSignerCert},
		"unprotected header": {strings.Replace(jwsGeneral, `"signature":`, `"header":{"kid":"x","n":[1,-2.5e+3,true,null,{"a":"\n"}]},"signature":`, 1),
			header, OddUnprotected},
		"more members":   {strings.Replace(jwsGeneral, `{"payload"`, `{"comment":{"a":[]},"payload"`, 1), header, OddUnknownHeader},
		"x5u":            {jwsGeneral, strings.Replace(header, `"typ"`, `"x5u":"https://example.com/c","typ"`, 1), OddX5U},
		"unknown header": {jwsGeneral, strings.Replace(header, `"typ"`, `"iat":1700000000,"typ"`, 1), OddUnknownHeader},
	} {
		var d EnvelopeDecoder
		var e Envelope
		if err := d.Decode([]byte(s.jws(t, c.form, c.header)), &e); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		signer := &e.Signers[0]
		if !s.verifies(signer.Signed, signer.Signature) || string(signer.JOSE) != "ES256" {
			t.Errorf("%s: does not verify by %s", name, signer.JOSE)
		}
		if c.odd == "" && len(e.Oddities) != 0 || c.odd != "" && !hasOddity(&e, c.odd) {
			t.Errorf("%s: oddities %v, want %q", name, e.Oddities, c.odd)
		}
		if signer.CertIndex >= 0 && string(e.Certificates[signer.CertIndex]) != string(s.chain[0]) {
			t.Errorf("%s: x5c does not come out as it went in", name)
		}
		if name == "no x5c" && string(signer.KeyID) != `k"1` {
			t.Errorf("kid is %q", signer.KeyID)
		}
	}
}

func TestJWSRefusals(t *testing.T) {
	s := newTestSigner(t, "ES256")
	x5c := base64.StdEncoding.EncodeToString(s.chain[0])
	header := `{"alg":"ES256","typ":"voucher-jws+json","x5c":["` + x5c + `"]}`
	alg := func(v string) string { return strings.Replace(header, `"ES256"`, v, 1) }
	in := func(old, by string) string { return strings.Replace(jwsGeneral, old, by, 1) }
	many := `{"alg":"ES256"`
	for i := range 40 {
		many += fmt.Sprintf(`,"m%d":1`, i)
	}
	for name, c := range map[string]struct {
		form, header string
		flaw         Flaw
	}{
		"flattened":                {`{"payload":"PAYLOAD","protected":"PROTECTED","signature":"SIGNATURE"}`, header, FlawSerialisation},
		"compact":                  {`PROTECTED.PAYLOAD.SIGNATURE`, header, FlawSerialisation},
		"alg none":                 {jwsGeneral, alg(`"none"`), FlawAlgorithm},
		"alg NONE":                 {jwsGeneral, alg(`"NonE"`), FlawAlgorithm},
		"alg HS256":                {jwsGeneral, alg(`"HS256"`), FlawAlgorithm},
		"alg hs384 escaped":        {jwsGeneral, alg(`"\u0068s384"`), FlawAlgorithm},
		"alg empty":                {jwsGeneral, alg(`""`), FlawAlgorithm},
		"alg missing":              {jwsGeneral, `{"typ":"voucher-jws+json"}`, FlawAlgorithm},
		"alg twice":                {jwsGeneral, `{"alg":"ES256","alg":"ES256"}`, FlawDuplicate},
		"alg twice, escaped":       {jwsGeneral, `{"alg":"ES256","\u0061lg":"none"}`, FlawDuplicate},
		"alg of another size":      {jwsGeneral, alg(`"ES384"`), FlawSignature},
		"crit":                     {jwsGeneral, `{"alg":"ES256","crit":["b64"],"b64":false}`, FlawCritical},
		"crit empty":               {jwsGeneral, `{"alg":"ES256","crit":[]}`, FlawCritical},
		"typ of a token":           {jwsGeneral, strings.Replace(header, "voucher-jws+json", "JWT", 1), FlawContentType},
		"payload twice":            {in(`{"payload"`, `{"payload":"PAYLOAD","payload"`), header, FlawDuplicate},
		"signatures twice":         {in(`,"signatures"`, `,"signatures":[],"signatures"`), header, FlawDuplicate},
		"protected twice":          {in(`{"protected"`, `{"protected":"PROTECTED","protected"`), header, FlawDuplicate},
		"payload missing":          {in(`"payload":"PAYLOAD",`, ""), header, FlawDetached},
		"signatures missing":       {`{"payload":"PAYLOAD"}`, header, FlawNoSigner},
		"signatures empty":         {`{"payload":"PAYLOAD","signatures":[]}`, header, FlawNoSigner},
		"protected missing":        {in(`"protected":"PROTECTED",`, ""), header, FlawAlgorithm},
		"signature missing":        {in(`,"signature":"SIGNATURE"`, ""), header, FlawSignature},
		"signature empty":          {in(`SIGNATURE`, ""), header, FlawSignature},
		"signature padded":         {in(`SIGNATURE`, "SIGNATURE=="), header, FlawMalformed},
		"payload padded":           {in(`"PAYLOAD"`, `"PAYLOAD="`), header, FlawMalformed},
		"payload escaped":          {in(`"PAYLOAD"`, `"PAYLOAD\u0041"`), header, FlawMalformed},
		"payload a number":         {in(`"PAYLOAD"`, `1`), header, FlawMalformed},
		"signatures an object":     {`{"payload":"PAYLOAD","signatures":{}}`, header, FlawMalformed},
		"header not an object":     {jwsGeneral, `[]`, FlawMalformed},
		"header with a tail":       {jwsGeneral, header + `x`, FlawTrailing},
		"header not UTF-8":         {jwsGeneral, "{\"alg\":\"ES256\",\"a\":\"\xff\"}", FlawMalformed},
		"header of many members":   {jwsGeneral, many + "}", FlawMalformed},
		"x5c with line breaks":     {jwsGeneral, `{"alg":"ES256","x5c":["` + x5c[:64] + `\n` + x5c[64:] + `"]}`, FlawCertificates},
		"x5c in base64url":         {jwsGeneral, `{"alg":"ES256","x5c":["-_-_"]}`, FlawCertificates},
		"x5c a string":             {jwsGeneral, `{"alg":"ES256","x5c":"` + x5c + `"}`, FlawMalformed},
		"x5c empty":                {jwsGeneral, `{"alg":"ES256","x5c":[]}`, FlawCertificates},
		"alg unprotected":          {in(`"signature":`, `"header":{"alg":"ES256"},"signature":`), header, FlawHeader},
		"x5c unprotected":          {in(`"signature":`, `"header":{"x5c":[]},"signature":`), header, FlawHeader},
		"broken number":            {in(`{"payload"`, `{"n":01,"payload"`), header, FlawMalformed},
		"lone surrogate":           {in(`{"payload"`, `{"n":"\ud800","payload"`), header, FlawMalformed},
		"comma before the bracket": {in(`"}]}`, `"}],}`), header, FlawMalformed},
	} {
		var d EnvelopeDecoder
		var e Envelope
		b := []byte(s.jws(t, c.form, c.header))
		t.Run(name, func(t *testing.T) { wantFlaw(t, d.Decode(b, &e), c.flaw) })
	}
}

// The reader of headers agrees with encoding/json on what JSON is.
func TestJOSECursorAgreesWithEncodingJSON(t *testing.T) {
	for _, text := range []string{
		`{}`, `[]`, `[1,2]`, `[1,]`, `[,1]`, `{"a":1}`, `{"a":1,}`, `{"a"}`, `{a:1}`, `"a"`, `"\u00e9\ud83d\ude00"`, `"\x"`, `"` + "\x01" + `"`,
		`-`, `-0`, `0`, `00`, `1.`, `.5`, `1e5`, `1E+`, `1.5e-7`, `true`, `tru`, `nul`, `null`, `[[[]]]`, `[[}`, `{"a":{"b":[{"c":"d"}]}}`, `[1 2]`, ` [ 1 , 2 ] `,
	} {
		var arena []byte
		c := joseCursor{rest: []byte(text), arena: &arena}
		err := c.skip(16)
		ours := err == nil && c.peek() == 0 && len(c.rest) == 0
		if theirs := json.Valid([]byte(text)); ours != theirs {
			t.Errorf("%s: valid %v, encoding/json says %v (%v)", text, ours, theirs, err)
		}
	}
}
